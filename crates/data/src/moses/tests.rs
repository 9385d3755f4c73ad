//! Tests of unusual sentences, of detokenization, and of properties that hold for all texts.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(sentence: &str, expected: &str) {
    assert_eq!(tokenize(sentence, Joints::Keep).join(" "), expected);
}

/// The output of sacremoses 0.2.0; whole books are in `tests/own_text.rs`.
#[test]
fn punctuation_parts_as_moses_has_it() {
    check("\"Don't,\" said O'Neil's aunt.", "\" Don 't , \" said O 'Neil 's aunt .");
    check("a,b,,1 1,000,000 x,1 1,x 1,", "a , b , ,1 1,000,000 x , 1 1 , x 1 ,");
    check("Wait... what..? ... .", "Wait ... what .. ? ... .");
    check("Mr. Smith of the U.S. paid No. 5 and No. he.", "Mr. Smith of the U.S. paid No. 5 and No. he .");
    check("He said 'stop.'", "He said ' stop . '");
    check("the '90s and 1990's; rock 'n' roll", "the ' 90s and 1990 's ; rock ' n ' roll");
    check("a\tb\u{a0}c\u{1}d  e", "a b cd e");
    check("a_b (c) x@y.z 漢字 50% £3", "a _ b ( c ) x @ y.z 漢 字 50 % £ 3");
    check("", "");
}

/// Searching for the end of a special token used to take quadratic time: a minute for this text.
#[test]
fn brackets_that_never_close_are_read_once() {
    let brackets = "<".repeat(1 << 20);
    assert_eq!(find_sign(&brackets), None);
    assert_eq!(find_sign(&(brackets + " <unk>>")), Some((1 << 20) + 1..(1 << 20) + 6));
    assert_eq!(
        [find_sign("<>"), find_sign("a<b>"), find_sign("<a b>"), find_sign("<a<b>")],
        [None, None, None, None]
    );
}

#[test]
fn joints_part_as_wikitext_has_it() {
    let all = |sentence: &str, joints| tokenize(sentence, joints).join(" ");
    assert_eq!(all("a well-known 1,000.5-foot -x y- --", Joints::Keep), "a well-known 1,000.5-foot -x y- --");
    assert_eq!(
        all("a well-known 1,000.5-foot -x y- --", Joints::Dashes),
        "a well @-@ known 1,000.5 @-@ foot -x y- --"
    );
    assert_eq!(all("1,000.5-foot v1.2 1. 5", Joints::All), "1 @,@ 000 @.@ 5 @-@ foot v1 @.@ 2 1 . 5");
}

#[test]
fn tokens_are_joined_as_people_write() {
    let joined = |tokens: &str| detokenize(tokens.split(' '));
    assert_eq!(joined("\" It 's \" , he said ( twice ) !"), "\"It's\", he said (twice)!");
    assert_eq!(joined("the Jones ' house ; ' so ' it is"), "the Jones' house; 'so' it is");
    assert_eq!(joined("a 2 @-@ day , 1 @,@ 000 @.@ 5 $ 3"), "a 2-day, 1,000.5 $3");
    assert_eq!(joined("“ Yes , ” and “ no . ”"), "“Yes,” and “no.”");
    assert_eq!(joined("<unk> = = x"), "<unk> = = x");
}

proptest! {
    #[test]
    fn no_character_is_lost(sentence in any::<String>(), joints in 0..3) {
        let joints = [Joints::Keep, Joints::Dashes, Joints::All][joints as usize];
        let kept = |text: &str| text.chars().filter(|&char| !is_space(char) && char >= ' ').collect::<String>();
        let tokens = tokenize(&sentence, joints);
        prop_assert!(tokens.iter().all(|token| !token.is_empty()));
        let unjoined = tokens.iter().map(|token| match token.as_str() {
            "@-@" | "@,@" | "@.@" => &token[1..2],
            token => token,
        });
        prop_assert_eq!(unjoined.collect::<String>(), kept(&sentence));
    }

    #[test]
    fn odd_punctuation_never_loses_a_character(sentence in "[a1é,.' `\\-\"s]{0,30}") {
        let kept: String = sentence.split_whitespace().collect();
        prop_assert_eq!(tokenize(&sentence, Joints::Keep).concat(), kept);
    }

    #[test]
    fn plain_sentences_come_back(
        sentence in "[A-Z][a-z]{1,8}( [a-z]{2,8}(-[a-z]{2,5})?,?){1,8} [0-9],[0-9]{3} [a-z]{1,8}[.?!]", joints in 0..3,
    ) {
        let joints = [Joints::Keep, Joints::Dashes, Joints::All][joints as usize];
        prop_assert_eq!(detokenize(tokenize(&sentence, joints)), sentence);
    }
}

#[test]
fn signs_stay_whole() {
    let tokens = tokenize("the <unk>, <unk> 's <eos> 3<4 <a b> x<y> <>", Joints::Keep);
    let expected = "the <unk> , <unk> 's <eos> 3 < 4 < a b > x < y > < >";
    assert_eq!(tokens.join(" "), expected);
}
