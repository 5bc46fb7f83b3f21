//! How many requests may be made now: arithmetic on a budget's numbers, with the time given from outside.
//!
//! Each limit is a bucket: so many requests at once, and then a steady pace at which they are regained. In any stretch of time as long as
//! the limit's, no more are granted than the bucket holds and are regained in it, and these two come to the limit.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How many requests all processes together may make with one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In any minute; 0 for no limit of our own.
    pub per_minute: u32,
    /// In any hour; 0 for no limit of our own.
    pub per_hour: u32,
    /// How many times faster the minute and the hour pass: 1, except where a test would have to wait for them.
    pub times_faster: u32,
}

impl Limits {
    /// No limit of our own: only what DigitalOcean says counts.
    pub const NONE: Self = Self {
        per_minute: 0,
        per_hour: 0,
        times_faster: 1,
    };

    fn minute(&self) -> TimeDelta {
        TimeDelta::minutes(1) / self.divisor()
    }

    fn hour(&self) -> TimeDelta {
        TimeDelta::hours(1) / self.divisor()
    }

    fn divisor(&self) -> i32 {
        i32::try_from(self.times_faster).unwrap_or(i32::MAX).max(1)
    }

    /// How long after it was granted a request may be sent: five seconds.
    pub(super) fn lease(&self) -> TimeDelta {
        self.minute() / 12
    }

    /// How much closer together requests may arrive than they were granted: they are sent late by a lease at most, and on their way as
    /// long again (rule of ours).
    fn blur(&self) -> TimeDelta {
        self.lease() * 2
    }

    fn minute_bucket(&self) -> Option<Bucket> {
        Bucket::of(self.per_minute, 4, self.minute() + self.blur())
    }

    fn hour_bucket(&self) -> Option<Bucket> {
        Bucket::of(self.per_hour, 8, self.hour() + self.blur())
    }
}

impl Default for Limits {
    /// Below DigitalOcean's 250 a minute and 5,000 an hour (spec), with a reserve for people who use the same token.
    fn default() -> Self {
        Self {
            per_minute: 240,
            per_hour: 4_500,
            times_faster: 1,
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// May use all of the allowance: the fast lane, which is always to get its few requests.
    All,
    /// Leaves a part of it, a quarter of what can be had at once, to the fast lane.
    AllButTheFastLanes,
}

impl Share {
    fn kept(self, of: i64) -> i64 {
        match self {
            Self::All => 0,
            Self::AllButTheFastLanes => of / 4,
        }
    }
}

/// One limit.
struct Bucket {
    /// Requests that can be had at once.
    size: i64,
    /// In which one request is regained.
    interval: TimeDelta,
}

impl Bucket {
    /// A part of the limit at once, the rest evenly over the time.
    fn of(limit: u32, part: i64, time: TimeDelta) -> Option<Self> {
        let limit = i64::from(limit);
        let size = (limit / part).max(1);
        let regained = (limit - size).max(1);
        let micros = time.num_microseconds()?;
        (limit > 0).then(|| Self {
            size,
            // Rounded up: rather a request too few.
            interval: TimeDelta::microseconds(micros / regained + 1),
        })
    }

    /// Requests in it, less those that are kept for others; negative while it has been overdrawn.
    fn free(&self, full_at: DateTime<Utc>, now: DateTime<Utc>, share: Share) -> i64 {
        let missing = (full_at - now).max(TimeDelta::zero());
        let interval = self.interval.num_microseconds().unwrap_or(i64::MAX);
        let missing = missing.num_microseconds().unwrap_or(i64::MAX);
        let missing = missing / interval + i64::from(missing % interval > 0);
        self.size - share.kept(self.size) - missing
    }

    /// When there will be one.
    fn next_at(&self, full_at: DateTime<Utc>, share: Share) -> DateTime<Utc> {
        let others = self.size - share.kept(self.size) - 1;
        full_at - self.interval * i32::try_from(others).unwrap_or(i32::MAX)
    }

    fn after_taking(
        &self,
        taken: i64,
        full_at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        full_at.max(now) + self.interval * i32::try_from(taken).unwrap_or(i32::MAX)
    }
}

/// What DigitalOcean's headers told of a token's hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) limit: i64,
    /// Less what was granted since.
    pub(super) left: i64,
    /// When the next request is regained.
    pub(super) reset_at: DateTime<Utc>,
    pub(super) at: DateTime<Utc>,
}

impl Told {
    /// What may be had of it: a tenth of the limit is the people's, and a little of the rest the fast lane's.
    fn free(&self, share: Share) -> i64 {
        self.left - self.limit / 10 - share.kept(self.limit / 10)
    }
}

/// What can be had at once of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    pub now: u32,
    /// When nobody has asked for any for a while.
    pub at_most: u32,
}

impl Left {
    /// A limit of which nothing is used.
    pub fn all(at_most: u32) -> Self {
        Self {
            now: at_most,
            at_most,
        }
    }

    fn of(now: i64, at_most: i64) -> Self {
        let number = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
        Self {
            now: number(now),
            at_most: number(at_most),
        }
    }
}

/// A budget as it stands in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    pub(super) minute_full_at: DateTime<Utc>,
    pub(super) hour_full_at: DateTime<Utc>,
    pub(super) closed_until: Option<DateTime<Utc>>,
    pub(super) told: Option<Told>,
}

/// Why nothing is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// The limit per minute.
    Minute,
    /// The limit per hour.
    Hour,
    /// By DigitalOcean's headers too little is left: others use the token as well.
    OthersUseIt,
    /// DigitalOcean answered 429 and asked to be left alone.
    Closed,
}

impl Shortage {
    /// As people are told.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Minute => "the requests of this minute are used up",
            Self::Hour => "the requests of this hour are used up",
            Self::OthersUseIt => {
                "what DigitalOcean says is left of this hour is kept for the people who use the token as well"
            }
            Self::Closed => "DigitalOcean answered 429 and asked to be left alone for a while",
        }
    }
}

impl Allowance {
    /// Grants up to `wanted` requests, at least one, or says when to ask again and why.
    pub(super) fn take(
        &mut self,
        limits: &Limits,
        share: Share,
        wanted: u32,
        now: DateTime<Utc>,
    ) -> Result<u32, (DateTime<Utc>, Shortage)> {
        if let Some(until) = self.closed_until.filter(|until| *until > now) {
            return Err((until, Shortage::Closed));
        }
        let mut granted = i64::from(wanted.max(1));
        let (minute, hour) = (limits.minute_bucket(), limits.hour_bucket());
        let mut shortages = Vec::new();
        for (bucket, full_at, shortage) in [
            (&minute, self.minute_full_at, Shortage::Minute),
            (&hour, self.hour_full_at, Shortage::Hour),
        ] {
            let Some(bucket) = bucket else { continue };
            let free = bucket.free(full_at, now, share);
            if free < 1 {
                shortages.push((bucket.next_at(full_at, share), shortage));
            }
            granted = granted.min(free);
        }
        let told = self.told.filter(|told| now - told.at < limits.hour());
        let free = told.map(|told| (told.free(share), told.reset_at));
        let mut probes = false;
        match free {
            Some((free, reset_at)) if free < 1 => {
                // One has been regained since, and the answer to it tells how many more.
                probes = reset_at <= now;
                granted = granted.min(1);
                if !probes {
                    shortages.push((reset_at, Shortage::OthersUseIt));
                }
            }
            Some((free, _)) => granted = granted.min(free),
            None => {}
        }
        if let Some(last) = shortages.into_iter().max_by_key(|(at, _)| *at) {
            return Err(last);
        }
        if let Some(bucket) = minute {
            self.minute_full_at = bucket.after_taking(granted, self.minute_full_at, now);
        }
        if let Some(bucket) = hour {
            self.hour_full_at = bucket.after_taking(granted, self.hour_full_at, now);
        }
        if let Some(told) = &mut self.told {
            told.left = (told.left - granted).max(0);
            if probes {
                // Until its answer is here, one is enough.
                told.reset_at = now + limits.blur();
            }
        }
        Ok(u32::try_from(granted).unwrap_or(1))
    }

    /// Takes in what an answer told, unless a later one has told something.
    pub(super) fn hear(&mut self, news: Told) {
        if self.told.is_none_or(|told| told.at < news.at) {
            self.told = Some(news);
        }
    }

    /// Closes the budget after a 429. Afterwards it begins with an empty minute: who refused would refuse a burst again.
    pub(super) fn close(&mut self, limits: &Limits, until: DateTime<Utc>) {
        let until = self.closed_until.map_or(until, |before| before.max(until));
        self.closed_until = Some(until);
        if let Some(bucket) = limits.minute_bucket() {
            let empty = bucket.after_taking(bucket.size, until, until);
            self.minute_full_at = self.minute_full_at.max(empty);
        }
    }

    /// What can be had at once by the minute and by the hour, and by the headers.
    pub(super) fn left(
        &self,
        limits: &Limits,
        share: Share,
        now: DateTime<Utc>,
    ) -> [Option<Left>; 3] {
        let left = |bucket: Option<Bucket>, full_at| {
            let bucket = bucket?;
            let at_most = bucket.free(now, now, share);
            Some(Left::of(bucket.free(full_at, now, share), at_most))
        };
        let told = self.told.filter(|told| now - told.at < limits.hour());
        let told = told.map(|told| {
            let unused = Told {
                left: told.limit,
                ..told
            };
            Left::of(told.free(share), unused.free(share))
        });
        [
            left(limits.minute_bucket(), self.minute_full_at),
            left(limits.hour_bucket(), self.hour_full_at),
            told,
        ]
    }
}

/// A duration of the database's clock; nothing where it has passed.
pub(super) fn ahead(of: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (of - now).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests;
