"""The one training loop, for FoCus, its baselines and every detector."""
