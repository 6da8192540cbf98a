//! A question's parameters, each by its name. Spot refuses what is not read, as one that is ignored would look as if it were
//! obeyed; USD-M ignores it, and so it is here.

use std::str::FromStr;

use crate::domain::instrument::InstrumentKind;

use super::problem::Problem;

/// More than any question has; the venue has a limit too.
const PARAMETERS_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Parameters {
    given: Vec<(String, String, bool)>,
    /// Names that were asked for, sent or not: what the question takes.
    known: Vec<String>,
    strict: bool,
}

impl Parameters {
    /// Reads a query string.
    pub(super) fn parse(product: InstrumentKind, query: &str) -> Result<Self, Problem> {
        let strict = product == InstrumentKind::Spot;
        let mut given: Vec<(String, String, bool)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if given.len() == PARAMETERS_MAX {
                return Err(Problem::TOO_MANY_PARAMETERS);
            }
            // What was no UTF-8 came out as this.
            if name.contains('\u{fffd}') || value.contains('\u{fffd}') {
                return Err(Problem::ILLEGAL_CHARACTERS);
            }
            match given.iter().any(|(known, ..)| *known == *name) {
                true if strict => return Err(Problem::DUPLICATE_VALUES),
                true => {}
                false => given.push((name.into_owned(), value.into_owned(), false)),
            }
        }
        Ok(Self { given, known: Vec::new(), strict })
    }

    /// One that may be absent; an empty one is an error.
    pub(super) fn optional(&mut self, name: &str) -> Result<Option<&str>, Problem> {
        if !self.known.iter().any(|known| known == name) {
            self.known.push(name.to_owned());
        }
        match self.given.iter_mut().find(|(known, ..)| known == name) {
            Some((_, value, read)) => {
                *read = true;
                if value.is_empty() { Err(Problem::empty(name)) } else { Ok(Some(value)) }
            }
            None => Ok(None),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Result<String, Problem> {
        match self.optional(name) {
            Ok(Some(text)) => Ok(text.to_owned()),
            _ => Err(Problem::missing(name)),
        }
    }

    pub(super) fn number<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.len() > 20 {
            return Err(Problem::illegal(name, "^[0-9]{1,20}$"));
        }
        text.parse().map(Some).map_err(|_| Problem::illegal(name, "^[0-9]{1,20}$"))
    }

    /// Everything that was sent has been read. The venue counts first: more than the question takes has an error of its own.
    pub(super) fn finish(&self) -> Result<(), Problem> {
        let (read, sent) = (self.given.iter().filter(|(.., read)| *read).count(), self.given.len());
        match self.strict && read < sent {
            true if sent > self.known.len() => Err(Problem::too_many(self.known.len(), sent)),
            true => Err(Problem::unread(read, sent)),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Problem> {
        Parameters::parse(InstrumentKind::Spot, query)
    }

    #[test]
    fn each_is_read_by_name_and_the_rest_is_refused_on_spot() {
        let mut parameters = parse("symbol=BTCUSDT&limit=5&more=1").unwrap();
        assert_eq!(parameters.text("symbol").unwrap(), "BTCUSDT");
        assert_eq!(parameters.number::<usize>("limit"), Ok(Some(5)));
        let problem = parameters.finish().unwrap_err();
        assert_eq!((problem.code, &*problem.msg), (-1101, "Too many parameters; expected '2' and received '3'."));
        assert_eq!(parameters.optional("startTime"), Ok(None));
        let problem = parameters.finish().unwrap_err();
        let words = "Not all sent parameters were read; read '2' parameter(s) but was sent '3'.";
        assert_eq!((problem.code, &*problem.msg), (-1104, words), "the question takes three, but not this one");
        assert_eq!(parameters.optional("more"), Ok(Some("1")));
        assert_eq!(parameters.finish(), Ok(()));
        let mut usdm = Parameters::parse(InstrumentKind::Perpetual, "more=1&limit=x").unwrap();
        assert_eq!((usdm.finish(), usdm.number::<usize>("limit").unwrap_err().code), (Ok(()), -1100));
    }

    #[test]
    fn what_is_malformed_is_said() {
        assert_eq!(parse("a=1&a=2").unwrap_err().code, -1101);
        assert_eq!(parse("a=%ff").unwrap_err().code, -1100);
        assert_eq!(parse("symbol=").unwrap().text("symbol").unwrap_err().code, -1102);
        assert_eq!(parse("limit=-5").unwrap().number::<usize>("limit").unwrap_err().code, -1100);
        assert_eq!(parse("limit=99999999999999999999").unwrap().number::<u64>("limit").unwrap_err().code, -1100);
        assert_eq!(parse(&"a=1&".repeat(500)).unwrap_err().code, -1101);
    }
}
