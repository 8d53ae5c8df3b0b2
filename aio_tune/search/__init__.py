"""The search: Optuna decides, Ray executes, the ledger is the truth.

rows         what may be learnt from, and how it is split
feasibility  which configurations can work at all, and which are the same
source       where configurations come from; study is Optuna's, confirm has one of fixed runs
study        Optuna's samplers
pruning      which trials are hopeless
director     asks, hears and decides; every fact is in the ledger first
state        a ledger read as tables
environment  what a search runs on, in words
tuning       Ray executes what the director asks for
cluster      the Ray that a search runs on
ahead        it, and workers with TensorFlow, started while a search makes ready
run          a search from its first trial to its last
finish       the winner into the registry
out_of_fold  each patient's call by the network that had not seen them, and its intervals
illustrate   figures and tables on the runs of the search and its best trials
importance   which parameters the outcome depended on
confirm      the winner again, slightly varied, on new splits
nested       whole searches inside an outer cross-validation
leaderboard  trials as rows, best first
"""
