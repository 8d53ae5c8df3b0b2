"""Ray started and ended for searches on many machines: closed by default, in folders that nobody else reads.

``tokens`` makes and checks the secret that opens a cluster, ``nodes`` starts one node and ends it, ``slurm`` reads
what Slurm gave, ``joining`` waits for nodes, ``job`` puts these together around one command.
"""
