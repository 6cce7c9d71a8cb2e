"""``import``: the messages of a file, each once however often it is imported."""
