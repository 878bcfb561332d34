"""Other ways to the same work, side by side: `make peers`. The scripts here import nothing of ours but `ours.py`."""
