"""Webhooks: when a job has ended, an address is told that the settings allow."""
