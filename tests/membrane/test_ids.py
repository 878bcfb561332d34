"""Ids that a replay makes again."""

from membrane.ids import episode_id, stable_id


def test_an_id_is_16_hex_digits_and_the_same_in_every_process():
    assert stable_id("agent-call", "default", "c-42", "problem:card") == "7626cc74014b3a99"


def test_parts_do_not_run_into_each_other():
    assert stable_id("a", "bc") != stable_id("ab", "c")


def test_an_episode_is_named_by_tenant_customer_and_beginning():
    ids = {episode_id("t", "c", 1), episode_id("t", "c", 2), episode_id("t", "d", 1), episode_id("u", "c", 1)}
    assert len(ids) == 4
