#!/usr/bin/env python3
"""Tests the page with a headless Chromium, through the WebDriver protocol of `chromedriver`.

    python3 test_page.py PROGRAM [--pictures DIR]

With `--pictures`, one picture of each view is written.
"""

import argparse
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import threading
import time
import urllib.request

from serving import documented, serving, train

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
TAB = "\ue004"


class Browser:
    """A session of a headless Chromium."""

    def __init__(self):
        driver, browser = shutil.which("chromedriver"), shutil.which("chromium")
        if not driver or not browser:
            sys.exit("chromedriver and chromium are needed")
        self.driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True)
        for line in self.driver.stdout:
            if "started successfully on port" in line:
                self.url = "http://127.0.0.1:%s" % line.rstrip(". \n").rsplit(" ", 1)[1]
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"]
        options = {"binary": browser, "args": arguments + ["--window-size=900,760"]}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self.session = "/session/" + self.ask("POST", "/session", wanted)["sessionId"]

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.ask("POST", self.session + "/url", {"url": url})

    def find(self, selector):
        found = self.ask("POST", self.session + "/element", {"using": "css selector", "value": selector})
        return self.session + "/element/" + found[ELEMENT]

    def click(self, selector):
        self.ask("POST", self.find(selector) + "/click", {})

    def type(self, selector, text):
        self.ask("POST", self.find(selector) + "/value", {"text": text})

    def run(self, script):
        return self.ask("POST", self.session + "/execute/sync", {"script": script, "args": []})

    def until(self, what, script):
        """Waits until the script returns something true, and returns it."""
        begun = time.monotonic()
        while True:
            found = self.run(script)
            if found:
                return found
            assert time.monotonic() - begun < 60, "%s; %s" % (what, self.run("return document.body.innerText"))
            time.sleep(0.05)

    def picture(self, path):
        path.write_bytes(base64.b64decode(self.ask("GET", self.session + "/screenshot")))

    def close(self):
        self.ask("DELETE", self.session)
        self.driver.terminate()
        self.driver.wait()


def main(arguments) -> None:
    parser = argparse.ArgumentParser(description="Test the page of the server")
    parser.add_argument("program", help="the program to test")
    parser.add_argument("--pictures", type=pathlib.Path, metavar="DIR", help="folder for a picture of each view")
    given = parser.parse_args(arguments)
    with serving(given.program, "--max-tokens", "100000000") as (url, runs):
        browser = Browser()
        try:
            test(browser, url, runs, given)
        finally:
            browser.close()
    print("page: passed")


def test(browser, url, runs, given) -> None:
    def picture(name):
        if given.pictures:
            browser.picture(given.pictures / ("serve-%s.png" % name))

    browser.open(url)
    browser.until("models are listed", "return document.getElementById('model').value === 'tiny'")

    (example,) = documented("js", url)
    said = browser.run("const said = []; const console = { log: (text) => said.push(text) };"
                       "return (async () => { %s })().then(() => said)" % example)
    assert len(said) == 1 and said[0], said

    # Write: suggestions appear, and Tab accepts the first.
    browser.type("#write-text", "the c")
    words = browser.until("suggestions appear", "return [...document.querySelectorAll('#suggestions button')]"
                          ".map((one) => one.firstChild.textContent).join(' ')")
    assert words.split()[0] == "cat", words
    browser.until("they are those of the last key", "return document.querySelectorAll('#suggestions li').length === 1")
    browser.type("#write-text", TAB)
    text = browser.until("the word is there", "return document.getElementById('write-text').value")
    assert text == "the cat ", text
    browser.until("the next word is suggested", "return document.querySelectorAll('#suggestions li').length > 1")
    picture("write")

    # Generate: the text grows, and stops when it is told to.
    browser.click("#tab-generate")
    browser.type("#prompt", "the cat")
    browser.run("document.getElementById('max-tokens').value = 100000000")
    browser.click("#start")
    length = "return document.getElementById('generated').textContent.length"
    first = browser.until("a text begins", length.replace("return", "return 8 <") + " && " + length[7:])
    browser.until("it grows", "%s > %d" % (length, first))
    browser.click("#stop")
    browser.until("it has stopped", "return !document.getElementById('start').disabled")
    stopped = browser.run(length)
    time.sleep(0.3)
    assert browser.run(length) == stopped
    picture("generate")

    # Inspect: tokens are colored, and show what else was likely.
    browser.click("#tab-inspect")
    browser.type("#inspect-text", "the cat sat on the dog .")
    browser.click("#inspect-form button")
    browser.until("tokens are colored", "return document.querySelectorAll('#colored span').length === 8")
    colors = browser.run("return [...document.querySelectorAll('#colored span')]"
                         ".map((one) => getComputedStyle(one).backgroundColor)")
    assert len(set(colors)) > 4, colors
    browser.run("document.querySelectorAll('#colored span')[5].focus()")
    alternatives = browser.run("return document.getElementById('alternatives').textContent")
    assert alternatives.startswith("dog: ") and "mat" in alternatives, alternatives
    picture("inspect")

    # Runs: a curve that moves while a run is trained.
    text = runs.parent / "text.txt"
    longer = ["--epochs", "400", "--log-every", "20"]
    training = threading.Thread(target=train, args=(given.program, text, runs / "moving", *longer))
    training.start()
    browser.until("the run begins", "return fetch('v1/runs/moving').then((answer) => answer.ok)")
    browser.click("#tab-runs")
    browser.until("it is listed", "return [...document.getElementById('run').options].some((run) => run.value === 'moving')")
    browser.run("const run = document.getElementById('run'); run.value = 'moving'; run.dispatchEvent(new Event('change'))")
    points = "return document.querySelector('#curve polyline.train')?.points.length ?? 0"
    first = browser.until("a curve appears", points)
    browser.until("it moves", "%s > %d" % (points.replace("?? 0", "") + " ", first))
    picture("runs")
    training.join()
    assert not browser.run("return document.getElementById('error').textContent")


if __name__ == "__main__":
    main(sys.argv[1:])
