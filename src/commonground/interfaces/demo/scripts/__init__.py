"""The scripts that the demo writes into its study folder; they use the public Python client and nothing else."""
