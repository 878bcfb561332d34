"""Adapters behind the ports of `membrane.ports`: SQLite through apsw, and principle files.

Nothing is imported here, so that `storage.lock` can be had before anything heavy is loaded.
"""
