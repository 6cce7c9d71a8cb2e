"""How much the system takes in, beside the databases people would pick instead."""
