"""An open-loop load: requests that become due at a rate, whatever became of those before."""
