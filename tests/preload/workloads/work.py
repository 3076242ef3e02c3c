"""Many small and some large objects in every shape that Python has; prints digests and the results themselves."""

import collections
import hashlib
import json
import pickle
import re
import threading
import zlib

words = [f"word{(index * 7919) % 10007}" for index in range(60000)]
counts = collections.Counter(words)
print(sorted(counts.items())[:50])
print(hashlib.sha256(json.dumps(sorted(counts.items())).encode()).hexdigest())

table = {index: {"name": word, "list": list(range(index % 17))} for index, word in enumerate(words[:20000])}
frozen = pickle.dumps(table, protocol=5)
print(len(frozen), hashlib.sha256(frozen).hexdigest())
print(pickle.loads(frozen) == table)

text = " ".join(words)
print(len(re.findall(r"word(\d)\d*\1\b", text)))
packed = zlib.compress(text.encode(), 9)
print(len(packed), zlib.decompress(packed).decode() == text)

grown = bytearray()
for index in range(200000):
    grown += bytes([index % 251])
print(hashlib.sha256(grown).hexdigest())

number = 1
for factor in range(1, 2000):
    number *= factor
print(hashlib.sha256(str(number % 10**4000).encode()).hexdigest())


class Node:
    def __init__(self, key, left=None, right=None):
        self.key, self.left, self.right = key, left, right


def insert(root, key):
    if root is None:
        return Node(key)
    place = root
    while True:
        side = "left" if key < place.key else "right"
        following = getattr(place, side)
        if following is None:
            setattr(place, side, Node(key))
            return root
        place = following


def in_order(root):
    stack, place = [], root
    while stack or place:
        while place:
            stack.append(place)
            place = place.left
        place = stack.pop()
        yield place.key
        place = place.right


root = None
for index in range(20000):
    root = insert(root, (index * 48271) % 65537)
print(hashlib.sha256(repr(list(in_order(root))).encode()).hexdigest())

results = [None] * 4


def work(slot):
    pieces = [str(index * slot) for index in range(20000)]
    results[slot] = hashlib.sha256("".join(pieces).encode()).hexdigest()


threads = [threading.Thread(target=work, args=(slot,)) for slot in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(results)
