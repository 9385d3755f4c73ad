#!/usr/bin/env python3
"""Tests the server with PyPI's package `openai`, and the examples of the documentation.

    python3 test_openai.py PROGRAM
"""

import json
import shutil
import subprocess
import sys

import openai

from serving import documented, serving


def main(rondo: str) -> None:
    with serving(rondo) as (url, _):
        client = openai.OpenAI(base_url=url + "/v1", api_key="none", max_retries=0)
        models = [model.id for model in client.models.list()]
        assert models == ["tiny"], models

        ask = dict(model="tiny", prompt="the cat", max_tokens=8, seed=1)
        whole = client.completions.create(**ask)
        choice = whole.choices[0]
        assert choice.finish_reason == "length" and choice.text, choice
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 8), whole.usage
        assert client.completions.create(**ask).choices[0].text == choice.text

        chunks = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
        assert "".join(part.text for chunk in chunks for part in chunk.choices) == choice.text
        assert chunks[-1].usage.total_tokens == 10, chunks[-1]

        many = client.completions.create(**{**ask, "prompt": ["the cat", "a dog"]}, n=2)
        assert [one.index for one in many.choices] == [0, 1, 2, 3]
        assert many.choices[0].text == choice.text

        scored = client.completions.create(**{**ask, "max_tokens": 0}, echo=True, logprobs=3)
        log_probs = scored.choices[0].logprobs
        assert log_probs.tokens == ["the", "cat"] and len(log_probs.top_logprobs[1]) == 3, log_probs
        assert all(value < 0 for value in log_probs.token_logprobs)

        stopped = client.completions.create(**{**ask, "max_tokens": 200}, stop=["\n"])
        assert stopped.choices[0].finish_reason == "stop" and "\n" not in stopped.choices[0].text
        extended = client.completions.create(**{**ask, "temperature": 1.5}, extra_body={"top_k": 1})
        assert extended.choices[0].text == client.completions.create(**{**ask, "temperature": 0}).choices[0].text

        for wrong, kind in [
            (dict(model="none"), openai.NotFoundError),
            (dict(suffix="x"), openai.BadRequestError),
            (dict(max_tokens=10**9), openai.BadRequestError),
            (dict(logprobs=9), openai.BadRequestError),
        ]:
            try:
                client.completions.create(**{**ask, **wrong})
            except kind as error:
                assert error.body["message"] and error.body["type"] == "invalid_request_error", error.body
            else:
                raise AssertionError("%s was accepted" % wrong)

        (example,) = documented("python", url)
        said = subprocess.run([sys.executable, "-c", example], check=True, capture_output=True, text=True).stdout
        assert len(said.split()) > 10, said
        if shutil.which("curl"):
            for example in documented("sh", url):
                if example.startswith("curl"):
                    said = subprocess.run(example, shell=True, check=True, capture_output=True, text=True).stdout
                    assert "choices" in json.loads(said) or "data" in json.loads(said), said
    print("openai %s: passed" % openai.__version__)


if __name__ == "__main__":
    main(sys.argv[1])
