import threading

from toolkit.progress import listening, tell


def test_only_the_innermost_listener_hears_and_only_inside():
    outer, inner = [], []
    with listening(lambda *seen: outer.append(seen)):
        tell("a", 1, 2)
        with listening(lambda *seen: inner.append(seen)):
            tell("b", 1, 1)
        tell("c", 2, 2)
    tell("d", 1, 1)
    assert outer == [("a", 1, 2), ("c", 2, 2)]
    assert inner == [("b", 1, 1)]


def test_another_thread_is_not_heard():
    seen = []
    with listening(lambda *said: seen.append(said)):
        other = threading.Thread(target=tell, args=("x", 1, 1))
        other.start()
        other.join()
    assert seen == []
