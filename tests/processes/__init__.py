"""The processes as they are started, stopped, deployed and broken."""
