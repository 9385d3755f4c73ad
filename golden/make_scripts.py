"""Writes sentences in scripts with combining signs, and their tokens according to sacremoses.

    python3 -m venv venv && venv/bin/pip install sacremoses==0.2.0
    venv/bin/python golden/make_scripts.py

Writes golden/own_text/scripts.tsv: a sentence, its tokens joined by spaces, and its tokens with
`aggressive_dash_splits`, separated by tabs. The last lines have each virama and nukta of sacremoses between letters,
next to a hyphen, and after an apostrophe.
"""

import pathlib

import sacremoses
from sacremoses.indic import NUKTAS, VIRAMAS

SENTENCES = [
    "वह स्कूल जा रहा है।",
    "विद्यार्थी ने कहा, \"मैं बड़ा हूँ।\"",
    "ज़रूरत और फ़र्क़ के बारे में पढ़ो।",
    "हिन्दी-उर्दू की किताब १२,००० रुपये में मिली.",
    "বাংলাদেশের রাজধানী ঢাকা, একটি বড় শহর।",
    "শিক্ষার্থীরা পড়াশোনা করছে; সময় ১০.৩০।",
    "ਪੰਜਾਬੀ ਵਿੱਚ ਜ਼ਿਆਦਾ ਸ਼ਬਦ ਹਨ।",
    "ગુજરાતી ભાષામાં સ્વાગત છે!",
    "ଓଡ଼ିଆ ଭାଷା ଶିକ୍ଷା।",
    "தமிழ்நாடு ஒரு மாநிலம், இந்தியாவில் உள்ளது.",
    "తెలుగు భాష చాలా అందమైనది (నిజం).",
    "ಕನ್ನಡ ಸಾಹಿತ್ಯ ಮತ್ತು ಸಂಸ್ಕೃತಿ.",
    "മലയാളം കേരളത്തിലെ ഭാഷയാണ്.",
    "සිංහල භාෂාව ශ්‍රී ලංකාවේ කතා කරයි.",
    "မြန်မာဘာသာ စကား သတ္တဝါ။",
    "ພາສາລາວ ແລະ ບາລີ.",
    "ภาษาไทย ที่นี่ น้ำ",
    "ភាសាខ្មែរ ជាភាសាជាតិ។",
    "བོད་སྐད་ བཀྲ་ཤིས།",
    "שָׁלוֹם עוֹלָם, מַה שְּׁלוֹמְךָ?",
    "مُحَمَّدٌ رَسُولُ, السَّلَامُ عَلَيْكُمْ",
    "cafe\u0301 nai\u0308ve, e\u0301te\u0301",
    "Việt Nam và tiê\u0301ng Viê\u0323t",
    "Mr. विक्रम's school-स्कूल isn't 5's.",
    "का\u200dम क\u200cष",
]


def main():
    moses = sacremoses.MosesTokenizer("en")

    def tokens(sentence, **options):
        return " ".join(moses.tokenize(sentence, escape=False, **options))

    sentences = SENTENCES + [f"a{sign}b x{sign}-y 'क{sign}'s {sign}'d" for sign in VIRAMAS + NUKTAS]
    lines = (f"{s}\t{tokens(s)}\t{tokens(s, aggressive_dash_splits=True)}\n" for s in sentences)
    path = pathlib.Path(__file__).parent / "own_text" / "scripts.tsv"
    path.write_text("".join(lines), "utf-8")


main()
