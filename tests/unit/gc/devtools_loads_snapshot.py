#!/usr/bin/env python3
"""Chromium's own loader of heap snapshots reads the file, and computes the retained sizes that the program printed.

    devtools_loads_snapshot.py PROGRAM FILE

PROGRAM FILE writes the file and prints "type N objects B bytes R retained NAME". Exit code 77 where there is no
chromium.
The loader is the one that the Memory panel uses, asked for in a page of DevTools over Chromium's debugging pipe.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

LOAD = """(async () => {
  const worker = await import(
    'devtools://devtools/bundled/entrypoints/heap_snapshot_worker/heap_snapshot_worker.js');
  const loader = new worker.HeapSnapshotLoader.HeapSnapshotLoader({sendEvent() {}});
  loader.write(TEXT);
  loader.close();
  await loader.parsingComplete;
  const channel = new MessageChannel();
  new worker.HeapSnapshot.SecondaryInitManager(channel.port2);
  const loaded = await loader.buildSnapshot(channel.port1);
  return Object.values(loaded.aggregatesWithFilter({})).map(each => [each.name, each.count, each.self, each.maxRet]);
})()"""


class Browser:
    def __init__(self, program, folder):
        to_browser, self.requests = os.pipe()
        self.answers, from_browser = os.pipe()

        def pipes():  # the browser reads requests from 3 and answers on 4
            ends = os.dup(to_browser), os.dup(from_browser)
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "about:blank"], preexec_fn=pipes, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(from_browser)
        self.read = b""
        self.count = 0

    def call(self, method, parameters, session=None):
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        left = memoryview(json.dumps(message).encode() + b"\0")
        while left:
            left = left[os.write(self.requests, left):]
        while True:
            while b"\0" not in self.read:
                some = os.read(self.answers, 1 << 20)
                if not some:
                    raise SystemExit("chromium ended")
                self.read += some
            first, self.read = self.read.split(b"\0", 1)
            answer = json.loads(first)
            if answer.get("id") == self.count:
                return answer["result"]


def loaded(chromium, text):
    with tempfile.TemporaryDirectory(prefix="tenure-devtools.", ignore_cleanup_errors=True) as folder:
        browser = Browser(chromium, folder)
        try:
            page = browser.call("Target.createTarget", {"url": "devtools://devtools/bundled/devtools_app.html"})
            target = {"targetId": page["targetId"], "flatten": True}
            session = browser.call("Target.attachToTarget", target)["sessionId"]
            answer = browser.call("Runtime.evaluate", {"expression": LOAD.replace("TEXT", json.dumps(text)),
                                                       "awaitPromise": True, "returnByValue": True}, session)
            if "value" not in answer["result"]:
                raise SystemExit(f"not loaded: {answer}")
            return {name: figures for name, *figures in answer["result"]["value"]}
        finally:
            browser.process.kill()
            browser.process.wait()


def main():
    chromium = shutil.which("chromium")
    if not chromium:
        print("no chromium here")
        sys.exit(77)
    printed = subprocess.run(sys.argv[1:], check=True, capture_output=True, text=True).stdout.splitlines()
    types = loaded(chromium, pathlib.Path(sys.argv[2]).read_text(encoding="utf-8"))
    wanted = {}
    for line in printed:
        if line.startswith("type "):
            _, objects, _, held, _, retained, _, name = line.split(maxsplit=7)
            wanted[name] = [int(objects), int(held), int(retained)]
    if types != wanted:
        raise SystemExit(f"DevTools has {types}, the program {wanted}")
    print(f"DevTools agrees: {types}")


if __name__ == "__main__":
    main()
