#!/usr/bin/env python3
"""Runs malb/lattice-estimator on the largest modulus of each security level and
degree, and prints the rows of "estimates" in security.json.

    python3 -m venv sage && sage/bin/pip install passagemath-standard-no-symbolics passagemath-symbolics
    git clone https://github.com/malb/lattice-estimator && git -C lattice-estimator checkout 27a581bb
    PYTHONPATH=lattice-estimator sage/bin/python aggregation/kahe/testdata/estimate.py

Sage's own Python does as well. A cost model as argument, such as ChaLoy21, takes the place of each level's own. Width 3.25 is what the leak of the sums leaves of 6.5.
A smaller modulus at the same degree and width is at least as hard.
"""
import json
import sys
from functools import partial

from sage.all import log, RR
from estimator import LWE, ND, RC

COMMIT = "27a581bb8e9d49f5e9e2db315bd48ac769d5f5f5"
WIDTH = 3.25
SETS = [("classical128", 2048, 53, "MATZOV"), ("classical128", 4096, 105, "MATZOV"), ("classical128", 8192, 209, "MATZOV"),
        ("conservative", 4096, 83, "ChaLoy21"), ("conservative", 8192, 161, "ChaLoy21")]
ATTACKS = {"usvp": LWE.primal_usvp, "bdd": LWE.primal_bdd, "dual_hybrid": LWE.dual_hybrid}

for level, n, bits, model in SETS:
    model = sys.argv[1] if len(sys.argv) > 1 else model
    p = LWE.Parameters(n=n, q=2**bits, Xs=ND.DiscreteGaussian(WIDTH), Xe=ND.DiscreteGaussian(WIDTH))
    row = {"level": level, "n": n, "bits": bits, "sigma": WIDTH, "model": model, "estimator": COMMIT[:8]}
    for name, attack in ATTACKS.items():
        row[name] = round(float(log(RR(partial(attack, red_cost_model=getattr(RC, model))(p)["rop"]), 2)), 1)
    print(json.dumps(row), flush=True)
