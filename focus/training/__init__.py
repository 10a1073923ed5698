"""The training loop of FoCus, its baselines and every detector."""
