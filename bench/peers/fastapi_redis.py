"""The decision route as it is usually built: FastAPI, pydantic, Redis; eight rules in Python, or in CEL for each
request. `python fastapi_redis.py PORT SOCKET rules|cel`. No `until`, no `unless`, no log, no consents, one language."""

import json
import sys

import redis.asyncio
import uvicorn
from cel_expr_python import cel
from fastapi import FastAPI
from pydantic import BaseModel

PORT, SOCKET, KIND = sys.argv[1:]
FACTS = {"stage": cel.Type.STRING, "lifecycle": cel.Type.STRING, "open": cel.Type.INT, "waiting": cel.Type.INT}
FACTS |= {"severity": cel.Type.INT, "complaints": cel.Type.INT, "churn": cel.Type.DOUBLE, "p_crisis": cel.Type.DOUBLE}
CEL = {
    "no-selling-in-crisis": 'stage == "crisis"',
    "who-complained": "complaints > 0",
    "gone": 'lifecycle == "closed"',
    "recovering": 'stage == "recovering"',
    "open-complaint": "open > waiting && severity <= 3",
    "at-risk": 'stage == "at_risk"',
    "dormant": 'lifecycle == "dormant"',
    "unsure": 'stage != "crisis" && p_crisis > 0.4',
}
RULES = {
    "no-selling-in-crisis": lambda f: f["stage"] == "crisis",
    "who-complained": lambda f: f["complaints"] > 0,
    "gone": lambda f: f["lifecycle"] == "closed",
    "recovering": lambda f: f["stage"] == "recovering",
    "open-complaint": lambda f: f["open"] > f["waiting"] and f["severity"] <= 3,
    "at-risk": lambda f: f["stage"] == "at_risk",
    "dormant": lambda f: f["lifecycle"] == "dormant",
    "unsure": lambda f: f["stage"] != "crisis" and f["p_crisis"] > 0.4,
}
environment = cel.NewEnv(variables=FACTS)
PROGRAMS = {name: environment.compile(text) for name, text in CEL.items()}


class Candidate(BaseModel):
    id: str
    domain: str
    kind: str
    channel: str
    propensity: float | None = None
    value: float | None = None


class Ask(BaseModel):
    customer: str
    candidates: list[Candidate]
    language: str | None = None


class Verdict(BaseModel):
    candidate: str
    verdict: str
    reasons: list[str]


class Answer(BaseModel):
    customer: str
    verdicts: list[Verdict]
    stage: str


app = FastAPI()
store = redis.asyncio.Redis(unix_socket_path=SOCKET)


@app.post("/v1/decisions")
async def decide(ask: Ask) -> Answer:
    facts = json.loads(await store.get(ask.customer) or b"{}")
    if KIND == "cel":
        reasons = [name for name, program in PROGRAMS.items() if program.eval(data=facts).plain_value()]
    else:
        reasons = [name for name, rule in RULES.items() if rule(facts)]
    verdict = "defer" if reasons else "allow"
    verdicts = [Verdict(candidate=one.id, verdict=verdict, reasons=reasons) for one in ask.candidates]
    return Answer(customer=ask.customer, verdicts=verdicts, stage=facts["stage"])


uvicorn.run(
    app, host="127.0.0.1", port=int(PORT), loop="uvloop", http="httptools", log_level="critical", access_log=False
)
