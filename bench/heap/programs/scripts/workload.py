"""The work that python3 does in the benchmark; prints a digest that must not depend on the allocator."""
import collections
import hashlib
import json
import re
import sys


def numbers(count, seed):
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield seed >> 33


class Order:
    def __init__(self, number, lines):
        self.number = number
        self.lines = lines
        self.total = sum(quantity * price for _, quantity, price in lines)


def make_orders(count, seed):
    stream = numbers(count * 9, seed)
    for number in range(count):
        lines = [(f"article-{next(stream) % 5000}", next(stream) % 9 + 1, next(stream) % 1000) for _ in range(3)]
        yield Order(number, lines)


def one_round(seed, digest):
    orders = list(make_orders(9000, seed))
    by_article = collections.defaultdict(list)
    for order in orders:
        for name, quantity, _ in order.lines:
            by_article[name].append((order.total, quantity))
    for entries in by_article.values():
        entries.sort(reverse=True)
    text = json.dumps([{"number": o.number, "total": o.total, "lines": o.lines} for o in orders])
    back = json.loads(text)
    words = re.findall(r"article-\d+", text)
    common = collections.Counter(words).most_common(20)
    tree = {}
    for word in words:
        branch = tree
        for letter in word[8:]:
            branch = branch.setdefault(letter, {})
    joined = "\n".join(f"{row['number']:>8} {row['total']:>10}" for row in sorted(back, key=lambda row: row["total"]))
    digest.update(joined.encode() + repr(common).encode() + repr(sorted(tree)).encode())


def main():
    digest = hashlib.sha256()
    for turn in range(int(sys.argv[1])):
        one_round(turn + 1, digest)
    print(digest.hexdigest())


main()
