import json
import os
import random
import subprocess
import sys
import threading

from toolkit import models
from toolkit.seeding import in_one_order, seeded


def test_other_threads_that_draw_do_not_change_what_a_seed_gives(wine):
    alone = models.build("tabular", wine.fit.train, seed=3).get_weights()
    done = threading.Event()

    def draw():
        while not done.is_set():
            random.random()
            random.randint(1, 9)

    others = [threading.Thread(target=draw) for _ in range(3)]
    for other in others:
        other.start()
    try:
        beside = [models.build("tabular", wine.fit.train, seed=3).get_weights() for _ in range(3)]
    finally:
        done.set()
        for other in others:
            other.join()
    for found in beside:
        assert [w.tobytes() for w in found] == [w.tobytes() for w in alone]


def test_a_block_gives_back_what_it_took():
    before = random.randint
    with seeded(1):
        first = random.randint(1, 10**9)
        with seeded(2):
            random.randint(1, 10**9)
        second = random.randint(1, 10**9)
        assert random.Random(1).randint(1, 10**9) == first
    assert random.randint is before
    with seeded(1):
        assert [random.randint(1, 10**9) for _ in range(2)] == [first, second]


def test_the_first_in_sets_the_order_and_the_last_out_ends_it():
    """Two threads whose blocks overlap leave the process as it was."""
    from threadpoolctl import ThreadpoolController

    def threads():
        found = ThreadpoolController().info()
        return [one["num_threads"] for one in found if one["user_api"] == "blas"]

    before = threads()
    one, two = in_one_order(), in_one_order()
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        one.__enter__()
        two.__enter__()
        assert set(threads()) == {1}
        one.__exit__(None, None, None)
        assert set(threads()) == {1}
        two.__exit__(None, None, None)
        assert set(threads()) == {2}
    assert threads() == before


def test_every_blas_is_bound_whatever_is_imported_first():
    """In a fresh process: what scipy brings comes after the first sum that is to hold."""
    asked = (
        "from toolkit.seeding import in_one_order\n"
        "with in_one_order():\n"
        "    pass\n"
        "import scipy.linalg.lapack\n"
        "from threadpoolctl import threadpool_info\n"
        "with in_one_order():\n"
        "    print([i['num_threads'] for i in threadpool_info() if i['user_api'] == 'blas'])\n"
    )
    many = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, capture_output=True, text=True, env=many, check=True)
    bound = json.loads(done.stdout)
    assert len(bound) > 1
    assert set(bound) == {1}
