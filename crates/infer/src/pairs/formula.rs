//! The formulas of SyntaxGym's predictions.
//!
//! ```text
//! (2;%mismatch%) > (2;%match%) & (3;%mismatch%) - (3;%match%) > 0.5
//!
//! formula     = conjunction { "|" conjunction }
//! conjunction = comparison { "&" comparison }
//! comparison  = sum [ ( "<" | ">" | "=" ) sum ]
//! sum         = term { ( "+" | "-" ) term }
//! term        = number | "(" region ";%" condition "%)" | "(" formula ")" | "[" formula "]" | "-" term
//! region      = digits | "*"
//! ```
//!
//! `*` is the whole sentence. Two numbers are equal if they differ by at most 0.001 + 0.00001 of the second, as in
//! syntaxgym-core. `&` binds more tightly than `|`, as in most languages; there, both bind equally.
//!
//! Promises: what is no formula is an error with its place; a formula that is parsed is a comparison or consists of some.
//! Not here: surprisals (the caller has them), files (`suite`).

use std::str::FromStr;

/// A region of a condition, whose surprisal a formula refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionReference {
    /// The number of the region; `None` for the whole sentence.
    pub region: Option<u32>,
    /// The name of the condition.
    pub condition: String,
}

/// A statement about surprisals.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula(Expression);

/// Why a text is no formula.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} at character {character} of `{formula}`")]
pub struct FormulaFault {
    /// The text.
    pub formula: String,
    /// The place of the first character that does not fit, from 1.
    pub character: usize,
    /// What would fit there.
    pub expected: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Number(f64),
    Region(RegionReference),
    Negative(Box<Expression>),
    Binary(Operator, Box<[Expression; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Less,
    Greater,
    Equal,
    Plus,
    Minus,
}

/// The operators of each level, those that bind least first.
const LEVELS: [&[(char, Operator)]; 4] = [
    &[('|', Operator::Or)],
    &[('&', Operator::And)],
    &[('<', Operator::Less), ('>', Operator::Greater), ('=', Operator::Equal)],
    &[('+', Operator::Plus), ('-', Operator::Minus)],
];
/// The level of comparisons, which cannot be chained.
const COMPARISON: usize = 2;

const RELATIVE_TOLERANCE: f64 = 1e-5;
const ABSOLUTE_TOLERANCE: f64 = 1e-3;

impl Formula {
    /// Whether it holds for these surprisals.
    pub fn holds(&self, surprisal: &dyn Fn(&RegionReference) -> f64) -> bool {
        self.0.truth(surprisal)
    }

    /// The regions that it refers to, in order.
    pub fn regions(&self) -> Vec<&RegionReference> {
        let mut regions = vec![];
        self.0.add_regions(&mut regions);
        regions
    }
}

impl FromStr for Formula {
    type Err = FormulaFault;

    fn from_str(text: &str) -> Result<Formula, FormulaFault> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let expression = parser.expression(0)?;
        parser.skip_spaces();
        if parser.at < text.len() {
            return Err(parser.fault("an operator or the end"));
        }
        expression.is_truth().then_some(Formula(expression)).ok_or_else(|| parser.fault("a comparison"))
    }
}

impl Expression {
    fn is_truth(&self) -> bool {
        !matches!(
            self,
            Expression::Number(_)
                | Expression::Region(_)
                | Expression::Negative(_)
                | Expression::Binary(Operator::Plus | Operator::Minus, _)
        )
    }

    fn truth(&self, surprisal: &dyn Fn(&RegionReference) -> f64) -> bool {
        let Expression::Binary(operator, operands) = self else { return false };
        let [a, b] = operands.as_ref();
        let number = |operand: &Expression| operand.number(surprisal);
        match operator {
            Operator::Or => a.truth(surprisal) || b.truth(surprisal),
            Operator::And => a.truth(surprisal) && b.truth(surprisal),
            Operator::Less => number(a) < number(b),
            Operator::Greater => number(a) > number(b),
            Operator::Equal => {
                let (a, b) = (number(a), number(b));
                (a - b).abs() <= ABSOLUTE_TOLERANCE + RELATIVE_TOLERANCE * b.abs()
            }
            Operator::Plus | Operator::Minus => false,
        }
    }

    fn number(&self, surprisal: &dyn Fn(&RegionReference) -> f64) -> f64 {
        match self {
            Expression::Number(number) => *number,
            Expression::Region(region) => surprisal(region),
            Expression::Negative(operand) => -operand.number(surprisal),
            Expression::Binary(operator, operands) => {
                let [a, b] = operands.each_ref().map(|operand| operand.number(surprisal));
                if *operator == Operator::Minus { a - b } else { a + b }
            }
        }
    }

    fn add_regions<'a>(&'a self, regions: &mut Vec<&'a RegionReference>) {
        match self {
            Expression::Number(_) => {}
            Expression::Region(region) => regions.push(region),
            Expression::Negative(operand) => operand.add_regions(regions),
            Expression::Binary(_, operands) => {
                operands.iter().for_each(|operand| operand.add_regions(regions))
            }
        }
    }
}

/// More parentheses within each other than anyone writes, and fewer than overflow the stack.
const DEEPEST: usize = 100;

struct Parser<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    /// How many terms contain it.
    depth: usize,
}

impl Parser<'_> {
    fn fault(&self, expected: &'static str) -> FormulaFault {
        let character = self.text[..self.at].chars().count() + 1;
        FormulaFault { formula: self.text.to_owned(), character, expected }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_spaces(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes this text, if it comes next.
    fn take(&mut self, text: &str) -> bool {
        self.skip_spaces();
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    /// Takes the longest text of these characters that comes next.
    fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &str {
        self.skip_spaces();
        let start = self.at;
        self.at += self.rest().find(|char| !fits(char)).unwrap_or(self.rest().len());
        &self.text[start..self.at]
    }

    /// The operands and operators of a level, and of those below.
    fn expression(&mut self, level: usize) -> Result<Expression, FormulaFault> {
        let Some(operators) = LEVELS.get(level) else { return self.term() };
        let (joins_truths, start) = (level < COMPARISON, self.at);
        let mut left = self.expression(level + 1)?;
        loop {
            let here = self.at;
            let Some(&(_, operator)) =
                operators.iter().find(|(sign, _)| self.take(sign.encode_utf8(&mut [0; 4])))
            else {
                return Ok(left);
            };
            let expected = if joins_truths { "a comparison" } else { "a number or a region" };
            if left.is_truth() != joins_truths {
                self.at = if level == COMPARISON { here } else { start };
                self.skip_spaces();
                return Err(self.fault(if level == COMPARISON { "`&`, `|` or the end" } else { expected }));
            }
            self.skip_spaces();
            let start = self.at;
            let right = self.expression(level + 1)?;
            if right.is_truth() != joins_truths {
                self.at = start;
                return Err(self.fault(expected));
            }
            left = Expression::Binary(operator, Box::new([left, right]));
        }
    }

    fn term(&mut self) -> Result<Expression, FormulaFault> {
        const EXPECTED: &str = "a number, a region such as `(2;%match%)`, or a parenthesis";
        self.skip_spaces();
        if self.depth == DEEPEST {
            return Err(self.fault("fewer parentheses within each other"));
        }
        self.depth += 1;
        let start = self.at;
        let term = if self.take("-") {
            let operand = self.term()?;
            if operand.is_truth() {
                self.at = start + 1;
                return Err(self.fault("a number or a region"));
            }
            Expression::Negative(Box::new(operand))
        } else if self.take("(") {
            match self.region()? {
                Some(region) => Expression::Region(region),
                None => self.within(")", "`)` or an operator")?,
            }
        } else if self.take("[") {
            self.within("]", "`]` or an operator")?
        } else {
            let digits = self.take_while(|char| char.is_ascii_digit() || char == '.');
            let Ok(number) = digits.parse() else {
                self.at = start;
                return Err(self.fault(EXPECTED));
            };
            Expression::Number(number)
        };
        self.depth -= 1;
        Ok(term)
    }

    fn within(&mut self, end: &str, expected: &'static str) -> Result<Expression, FormulaFault> {
        let expression = self.expression(0)?;
        if self.take(end) { Ok(expression) } else { Err(self.fault(expected)) }
    }

    /// What follows the parenthesis of a region; `None`, and nothing taken, if it is another one.
    fn region(&mut self) -> Result<Option<RegionReference>, FormulaFault> {
        let start = self.at;
        let region = if self.take("*") {
            None
        } else {
            let digits = self.take_while(|char| char.is_ascii_digit());
            let Ok(region) = digits.parse() else {
                self.at = start;
                return Ok(None);
            };
            Some(region)
        };
        if !self.take(";") {
            if region.is_none() {
                return Err(self.fault("`;`"));
            }
            self.at = start;
            return Ok(None);
        }
        if !self.take("%") {
            return Err(self.fault("`%` and the name of a condition"));
        }
        let condition = self.take_while(|char| char != '%').trim_end().to_owned();
        match (self.take("%"), self.take(")")) {
            (true, true) => Ok(Some(RegionReference { region, condition })),
            (true, false) => Err(self.fault("`)`")),
            (false, _) => Err(self.fault("`%`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Surprisals of the conditions `a`, `b` and `c`: 10, 20 and 30 times the number of the region, 7 for all of it.
    fn surprisal(region: &RegionReference) -> f64 {
        let condition = ["a", "b", "c_d-1"].iter().position(|name| *name == region.condition).unwrap() + 1;
        region.region.map_or(7.0, |region| f64::from(region) * 10.0 * condition as f64)
    }

    #[track_caller]
    fn check(formula: &str, expected: bool) {
        let formula: Formula = formula.parse().unwrap();
        assert_eq!(formula.holds(&surprisal), expected, "{formula:?}");
    }

    #[test]
    fn comparisons_sums_and_conjunctions_hold_as_usual() {
        check("(2;%a%) < (2;%b%)", true);
        check("(2;%a%)>(2;%b%)", false);
        check("(1;%a%) + (1;%a%) = (1;%b%)", true);
        check("(1;%b%) - (1;%a%) - 3 - 2 = 5", true);
        check("((1;%b%) - (1;%a%)) > ( ( 1 ; %c_d-1% ) - (1;%b%))", false);
        check("[(1;%a%) < 11] & [(1;%b%) > 20]", false);
        check("(1;%a%) < 11 | (1;%b%) > 20 & 1 > 2", true);
        check("((1;%a%) < 11 | (1;%b%) > 20) & 1 > 2", false);
        check("(*;%a%) = 7 & -(*;%a%) = -7.0", true);
        check("(3) = 3.0029", false);
        check("3 = 3.0009", true);
        check("1 - (2 - 3) = 2", true);
    }

    #[test]
    fn regions_are_listed_in_order() {
        let formula: Formula = "(2;%b%) > (*;%a%)".parse().unwrap();
        let regions: Vec<_> =
            formula.regions().iter().map(|region| (region.region, region.condition.as_str())).collect();
        assert_eq!(regions, [(Some(2), "b"), (None, "a")]);
    }

    #[track_caller]
    fn check_fault(formula: &str, character: usize, expected: &str) {
        let fault = formula.parse::<Formula>().unwrap_err();
        assert_eq!((fault.character, fault.expected), (character, expected), "{formula}");
    }

    #[test]
    fn what_is_no_formula_is_an_error_with_its_place() {
        let term = "a number, a region such as `(2;%match%)`, or a parenthesis";
        check_fault("", 1, term);
        check_fault("(2;%a%) >> 3", 10, term);
        check_fault("(2;%a%) >= 3", 10, term);
        check_fault("(2;%a%)", 8, "a comparison");
        check_fault("1 + 2", 6, "a comparison");
        check_fault("(2;%a%) < 3 < 4", 13, "`&`, `|` or the end");
        check_fault("(1 < 2) + 3 > 1", 1, "a number or a region");
        check_fault("1 < 2 & 3", 9, "a comparison");
        check_fault("3 | 1 < 2", 1, "a comparison");
        check_fault("1 < (2 < 3)", 5, "a number or a region");
        check_fault("(2;%a) > 3", 11, "`%`");
        check_fault("(2;a%) > 3", 4, "`%` and the name of a condition");
        check_fault("(2;%a% > 3", 8, "`)`");
        check_fault("((2;%a%) > 3", 13, "`)` or an operator");
        check_fault("[1 > 3)", 7, "`]` or an operator");
        check_fault("1 > 3 é", 7, "an operator or the end");
        check_fault("1 > -(2 > 3)", 6, "a number or a region");
        check_fault(&"(".repeat(10_000), 101, "fewer parentheses within each other");
    }
}
