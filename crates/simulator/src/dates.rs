//! Dates of invoices and resources, in UTC.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// Year, month, day and hour, UTC.
pub(crate) type Moment = (i32, u32, u32, u32);

/// The first moment of a month, UTC.
pub(crate) fn month_start(year: i32, month: u32) -> DateTime<Utc> {
    let first = NaiveDate::from_ymd_opt(year, month, 1).unwrap_or_default();
    first.and_time(NaiveTime::MIN).and_utc()
}

pub(crate) fn moment((year, month, day, hour): Moment) -> DateTime<Utc> {
    let date = NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
    date.and_hms_opt(hour, 0, 0).unwrap_or_default().and_utc()
}
