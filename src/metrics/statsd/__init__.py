"""The agent beside an app: StatsD in, batches to collectors out. Standard library only."""
