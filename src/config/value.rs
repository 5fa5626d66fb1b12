//! What a key of the configuration holds, once it is read.

use std::collections::BTreeMap;

use super::{Level, Mode, Profile};

/// A value of one of these types.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Count(u64),
    Number(f64),
    Switch(bool),
    Mode(Mode),
    Level(Level),
    Statuses(Vec<u16>),
    Names(Vec<String>),
    NamesByName(BTreeMap<String, Vec<String>>),
    TextByName(BTreeMap<String, String>),
    Profile(Profile),
}

/// What a [`Value`] can be turned into.
pub trait FromValue: Sized {
    /// `None` if the value is of another type, or a number that does not fit.
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! from_value {
    ($($variant:ident: $type:ty),+ $(,)?) => {
        $(impl FromValue for $type {
            fn from_value(value: Value) -> Option<$type> {
                match value {
                    Value::$variant(value) => value.try_into().ok(),
                    _ => None,
                }
            }
        })+
    };
}

from_value! {
    Text: String,
    Count: usize,
    Count: u32,
    Count: u64,
    Count: i32,
    Number: f64,
    Switch: bool,
    Mode: Mode,
    Level: Level,
    Statuses: Vec<u16>,
    Names: Vec<String>,
    NamesByName: BTreeMap<String, Vec<String>>,
    TextByName: BTreeMap<String, String>,
    Profile: Profile,
}
