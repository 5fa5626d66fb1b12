//! What goes wrong on purpose, and when.

use super::Options;
use super::problem::Problem;

/// What goes wrong with a request.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// It is never answered.
    Hang,
    /// The connection is cut instead of an answer.
    Cut {
        /// Whether the request is carried out first.
        carried_out: bool,
    },
    /// It is refused.
    Refuse(Problem),
}

/// What goes wrong with data request `number` (from 1). Every N-th is counted over all connections; where several faults fall
/// on one request, the first of hang, cut, 429, 500, 503 happens. Every second cut comes after the request is carried out.
pub fn at(number: u64, options: &Options) -> Option<Fault> {
    let round = |every: Option<u64>| {
        every.filter(|every| *every > 0 && number.is_multiple_of(*every)).map(|every| number / every)
    };
    round(options.hang)
        .map(|_| Fault::Hang)
        .or_else(|| round(options.cut).map(|round| Fault::Cut { carried_out: round.is_multiple_of(2) }))
        .or_else(|| round(options.fail_429).map(|_| Fault::Refuse(Problem::TooManyRequests)))
        .or_else(|| round(options.fail_500).map(|_| Fault::Refuse(Problem::System)))
        .or_else(|| round(options.fail_503).map(|_| Fault::Refuse(Problem::Unavailable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_at_every_nth_request_the_gravest_first() {
        let options =
            Options { hang: Some(10), cut: Some(5), fail_429: Some(3), fail_500: Some(4), ..Options::default() };
        let faults: Vec<_> = (1..=20).map(|number| at(number, &options)).collect();
        assert_eq!(faults[0], None);
        assert_eq!(faults[2], Some(Fault::Refuse(Problem::TooManyRequests)));
        assert_eq!(faults[3], Some(Fault::Refuse(Problem::System)));
        assert_eq!(faults[4], Some(Fault::Cut { carried_out: false }));
        assert_eq!(faults[9], Some(Fault::Hang));
        assert_eq!(faults[11], Some(Fault::Refuse(Problem::TooManyRequests)));
        let cuts = Options { cut: Some(1), ..Options::default() };
        assert_eq!([at(1, &cuts), at(2, &cuts)], [false, true].map(|carried_out| Some(Fault::Cut { carried_out })));
        assert_eq!(at(5, &Options { cut: Some(0), ..Options::default() }), None);
    }
}
