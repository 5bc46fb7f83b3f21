//! The demo account: a small Australian company's, with eleven years of invoices.

use super::{
    demo_fleet::{API, DOMAINS, MACHINES, MAIN, Machine, TOOLING, WEBSITE},
    demo_invoices,
};
use crate::{
    Account, Domain, Droplet, MemberStatus, Project, dates::moment, identifiers::identifier,
};

const REGION: &str = "syd1";

impl Account {
    /// Creates five droplets and seven domains in four projects, and an invoice for each of the 137
    /// months from December 2014 to April 2026. April 2026 has 33 lines that total $86.92; six
    /// lines are of the five droplets, one of which was resized in mid-month, and the others of
    /// deleted droplets, Spaces and GST. The time of this account is 9 May 2026;
    /// [`Account::demo_at`] creates it at another time.
    pub fn demo() -> Self {
        let mut account = demo_resources();
        let time = demo_invoices::fixed_time();
        demo_invoices::bill(&mut account, time, time);
        account
    }
}

/// The projects, droplets and domains, without a bill.
pub(super) fn demo_resources() -> Account {
    let mut account = Account::empty();
    found_projects(&mut account);
    create_droplets(&mut account);
    create_domains(&mut account);
    account
}

fn found_projects(account: &mut Account) {
    let main = account.default_project();
    let founded = moment((2014, 12, 3, 3));
    for project in account
        .projects
        .iter_mut()
        .filter(|project| project.id == main)
    {
        MAIN.clone_into(&mut project.name);
        "Resources without another project".clone_into(&mut project.description);
        "Other: Company account".clone_into(&mut project.purpose);
        "Production".clone_into(&mut project.environment);
        project.created_at = founded;
        project.updated_at = founded;
    }
    let rows = [
        (
            WEBSITE,
            "Public website, blog and status page",
            "Website or blog",
            (2018, 9, 27, 20),
        ),
        (
            API,
            "The API our customers call",
            "Service or API",
            (2018, 9, 28, 1),
        ),
        (
            TOOLING,
            "Builds and everything else for ourselves",
            "Operational / Developer tooling",
            (2021, 3, 7, 20),
        ),
    ];
    for (number, (name, description, purpose, created)) in (1..).zip(rows) {
        account.insert_project(Project {
            id: identifier("demo project", number),
            name: name.to_owned(),
            description: description.to_owned(),
            purpose: purpose.to_owned(),
            environment: "Production".to_owned(),
            is_default: false,
            created_at: moment(created),
            updated_at: moment(created),
            members: Vec::new(),
        });
    }
}

fn create_droplets(account: &mut Account) {
    for machine in MACHINES.iter().filter(|machine| machine.until().is_none()) {
        let rows = MACHINES.iter().filter(|row| row.id == machine.id);
        let created_at = rows.map(Machine::from).min();
        let tags: &[&str] = match machine.project {
            WEBSITE => &["web", "env:prod"],
            API => &["api", "env:prod"],
            _ => &["ci"],
        };
        account.insert_droplet(Droplet {
            id: machine.id,
            name: machine.name.to_owned(),
            size: machine.size.to_owned(),
            region: REGION.to_owned(),
            status: "active".to_owned(),
            tags: tags.iter().map(ToString::to_string).collect(),
            created_at: created_at.unwrap_or_default(),
            volume_ids: Vec::new(),
            snapshot_ids: Vec::new(),
            backup_ids: Vec::new(),
            vpc_id: None,
            gpu: false,
        });
        put(
            account,
            machine.project,
            &format!("do:droplet:{}", machine.id),
        );
    }
}

fn create_domains(account: &mut Account) {
    for (number, (name, project)) in (10..).zip(DOMAINS) {
        let domain = Domain {
            name: (*name).to_owned(),
            ttl: 1800,
            address: format!("198.18.0.{number}"),
        };
        put(account, project, &domain.urn());
        account.domains.push(domain);
    }
}

fn put(account: &mut Account, project: &str, urn: &str) {
    let mut projects = account.projects().iter();
    if let Some(id) = projects
        .find(|known| known.name == project)
        .map(|known| known.id)
    {
        account.add_member(id, urn, MemberStatus::Ok);
    }
}
