"""Ray started and ended for searches on many machines: closed by default, in folders that nobody else reads.

``tokens`` makes and checks the secret that opens a cluster, ``knocking`` asks a head whether it is there and knows us.
``processes`` and ``signals`` are what starts and ends things, ``nodes`` is one node of Ray. ``slurm`` reads what Slurm
gave, ``joining`` waits for nodes, ``job`` puts these together around one command. ``submission`` is the other way in: a
command as a job on a cluster that is there.
"""
