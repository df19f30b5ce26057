"""The doors. They translate, never decide."""
