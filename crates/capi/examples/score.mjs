// Scores lines with a model in WebAssembly: in a browser, or in Node.js as here. The functions are those of rondo.h.
//
//     cargo build --release --package rondo-capi --target wasm32-unknown-unknown
//     node score.mjs target/wasm32-unknown-unknown/release/rondo_capi.wasm MODEL.safetensors < lines.txt
//
// Prints the log-probability of each line and its number of tokens, with a tab between them.

/** A language model in WebAssembly: `module` are the bytes of the program, `file` those of a model file. */
export async function open(module, file) {
  const { instance } = await WebAssembly.instantiate(module, {});
  const rondo = instance.exports;

  // New pages of memory belong to the caller: the library asks for pages of its own.
  const room = (bytes) => rondo.memory.grow(Math.ceil(bytes / 65536)) * 65536;
  const write = (at, bytes) => new Uint8Array(rondo.memory.buffer).set(bytes, at);
  const text = (at) => {
    const memory = new Uint8Array(rondo.memory.buffer);
    return new TextDecoder().decode(memory.subarray(at, memory.indexOf(0, at)));
  };
  const check = (result, failed) => {
    if (failed) throw new Error(text(rondo.rondo_last_error()));
    return result;
  };

  const bytes = room(file.length);
  write(bytes, file);
  const opened = rondo.rondo_open_bytes(bytes, file.length, 1);
  const model = check(opened, opened === 0);

  let [line, capacity] = [0, 0];
  const number = room(8);
  return {
    /** The log-probability of a line, in nats, and its number of tokens, with the line end. */
    score(words) {
      const encoded = new TextEncoder().encode(words + "\0");
      if (encoded.length > capacity) [line, capacity] = [room(encoded.length), encoded.length];
      write(line, encoded);
      const result = rondo.rondo_score(model, line, number);
      const tokens = Number(check(result, result < 0));
      return { logProb: new DataView(rondo.memory.buffer).getFloat64(number, true), tokens };
    },
  };
}

async function main([module, file]) {
  const { readFileSync } = await import("node:fs");
  const model = await open(readFileSync(module), readFileSync(file));
  const lines = readFileSync(0, "utf8").split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const { logProb, tokens } = model.score(line);
    console.log(`${logProb.toFixed(6)}\t${tokens}`);
  }
}

if (typeof process !== "undefined") {
  await main(process.argv.slice(2)).catch((error) => {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  });
}
