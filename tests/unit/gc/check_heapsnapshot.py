#!/usr/bin/env python3
"""Whether a .heapsnapshot is what its readers expect, and agrees with what the program that wrote it printed.

    check_heapsnapshot.py PROGRAM FILE

Runs PROGRAM FILE, which writes the file and prints "type N objects B bytes R retained NAME",
"NAME retains R bytes" and "site N sampled".
Reads the file as DevTools does, by the fields that its own header names, follows every index, and computes retained
sizes by taking each object in question away and looking what is reached no more.
"""
import collections
import json
import subprocess
import sys

NODE_TYPES = {"object", "synthetic"}
EDGE_TYPES = {"element", "property", "internal"}


def rows(flat, width):
    assert len(flat) % width == 0, (len(flat), width)
    return [flat[i:i + width] for i in range(0, len(flat), width)]


class Snapshot:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
        meta = whole["snapshot"]["meta"]
        self.strings = whole["strings"]
        fields = {name: at for at, name in enumerate(meta["node_fields"])}
        width = len(fields)
        nodes = rows(whole["nodes"], width)
        assert len(nodes) == whole["snapshot"]["node_count"]
        edges = rows(whole["edges"], len(meta["edge_fields"]))
        assert len(edges) == whole["snapshot"]["edge_count"]
        assert meta["edge_fields"] == ["type", "name_or_index", "to_node"]
        identities = [node[fields["id"]] for node in nodes]
        assert len(set(identities)) == len(identities)
        self.names = [self.strings[node[fields["name"]]] for node in nodes]
        self.types = [meta["node_types"][0][node[fields["type"]]] for node in nodes]
        self.sizes = [node[fields["self_size"]] for node in nodes]
        assert set(self.types) <= NODE_TYPES, set(self.types)
        self.edges = []
        at = 0
        for node in nodes:
            own = []
            for kind, name, to in edges[at:at + node[fields["edge_count"]]]:
                kind = meta["edge_types"][0][kind]
                assert kind in EDGE_TYPES and to % width == 0 and to // width < len(nodes)
                own.append((name if kind == "element" else self.strings[name], to // width))
            at += len(own)
            self.edges.append(own)
        assert at == len(edges)
        traces = [node[fields["trace_node_id"]] for node in nodes if node[fields["trace_node_id"]] != 0]
        self.traced = len(traces)
        self.check_traces(whole, meta, set(traces))
        assert self.reached() == set(range(len(nodes))), "not everything is reached from the root"

    def check_traces(self, whole, meta, used):
        functions = rows(whole["trace_function_infos"], len(meta["trace_function_info_fields"]))
        assert len(functions) == whole["snapshot"]["trace_function_count"]
        for function in functions:
            assert function[1] < len(self.strings) and function[2] < len(self.strings)
        known = set()

        def walk(flat):
            total = 0
            for identity, function, count, _size, children in rows(flat, 5):
                assert function < len(functions) and identity not in known
                known.add(identity)
                total += count + walk(children)
            return total
        assert walk(whole["trace_tree"]) == self.traced
        assert used <= known

    def reached(self, removed=frozenset()):
        seen = {0}
        waiting = [0]
        while waiting:
            for _, to in self.edges[waiting.pop()]:
                if to not in seen and to not in removed:
                    seen.add(to)
                    waiting.append(to)
        return seen

    def retained(self, removed):
        left = self.reached(frozenset(removed))
        return sum(size for at, size in enumerate(self.sizes) if at not in left)


def main():
    printed = subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout.splitlines()
    snapshot = Snapshot(sys.argv[2])
    objects = sum(kind == "object" for kind in snapshot.types)
    members = collections.Counter(name for own in snapshot.edges for name, _ in own)
    sampled = 0
    for line in printed:
        words = line.split(maxsplit=7)
        if words[0] == "type":
            name = words[7]
            of_type = [at for at, known in enumerate(snapshot.names) if known == name]
            assert len(of_type) == int(words[1]), line
            assert sum(snapshot.sizes[at] for at in of_type) == int(words[3]), line
            assert snapshot.retained(of_type) >= int(words[5]), line
        elif words[0] == "site":
            sampled += int(words[1])
        elif words[0] == "objects":
            assert objects == int(words[1]), line
        elif words[1] == "retains":
            sizes = [snapshot.retained([at]) for at, known in enumerate(snapshot.names) if known == words[0]]
            assert int(words[2]) in sizes, (line, sizes)
    assert snapshot.traced == sampled, (snapshot.traced, sampled)
    print(f"{objects} objects, {sampled} sampled, {sum(members.values())} edges, "
          f"members: {', '.join(sorted(map(str, members)))[:200]}")


if __name__ == "__main__":
    main()
