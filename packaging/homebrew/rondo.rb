# A formula for Homebrew. Untested: a template. Replace ADDRESS and HASH.
class Rondo < Formula
  desc "Recurrent language models: train, evaluate, score, generate"
  homepage "ADDRESS"
  url "ADDRESS/rondo-0.2.0.tar.gz"
  sha256 "HASH"
  license any_of: ["MIT", "Apache-2.0"]

  depends_on "rust" => :build

  def install
    system "cargo", "install", *std_cargo_args(path: "crates/cli")
    system bin/"rondo", "man", "man"
    man1.install Dir["man/*.1"]
    generate_completions_from_executable(bin/"rondo", "completions")
  end

  test do
    system bin/"rondo", "train", "--epochs", "1", "--hidden-size", "8", "--max-batches", "2", "--out", "run"
    assert_match "perplexity", shell_output("#{bin}/rondo eval --model run --split valid")
  end
end
