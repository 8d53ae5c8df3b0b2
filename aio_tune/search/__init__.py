"""The search: Optuna decides (director), Ray executes (tuning), the ledger is the truth (state)."""
