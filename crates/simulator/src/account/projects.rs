//! Projects and their members. A resource is in at most one project.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Account, ReservedIp};
use crate::identifiers::identifier;

/// A project with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// DigitalOcean's UUID.
    pub id: Uuid,
    /// Unique; at most 175 characters.
    pub name: String,
    /// At most 255 characters.
    pub description: String,
    /// One of DigitalOcean's phrases, or `Other: ` and free text.
    pub purpose: String,
    /// `Development`, `Staging` or `Production`.
    pub environment: String,
    /// Whether new resources become members of it.
    pub is_default: bool,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// In the order in which they were assigned.
    pub members: Vec<Member>,
}

/// A member of a project: one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `do:KIND:ID`; the kinds are an open set.
    pub urn: String,
    /// When it was assigned to the project.
    pub assigned_at: DateTime<Utc>,
    /// The status that the project reports.
    pub status: MemberStatus,
}

/// The state of a [`Member`] when a project's resources are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberStatus {
    /// The resource exists.
    Ok,
    /// The resource does not exist; the membership dangles.
    NotFound,
    /// The service of the resource did not answer, so its existence is unknown.
    ServiceDown,
}

impl Account {
    /// The projects, in the order of their listing.
    pub fn projects(&self) -> &[Project] {
        &self.projects
    }

    /// One project by its id.
    pub fn project(&self, id: Uuid) -> Option<&Project> {
        self.projects.iter().find(|project| project.id == id)
    }

    /// The project of a resource.
    pub fn project_of(&self, urn: &str) -> Option<Uuid> {
        self.projects_by_urn.get(urn).copied()
    }

    /// The id of the default project. It cannot be removed.
    pub fn default_project(&self) -> Uuid {
        let default = self.projects.iter().find(|project| project.is_default);
        default.map_or(Uuid::nil(), |project| project.id)
    }

    /// Creates an empty project and returns its id.
    pub fn add_project(&mut self, name: &str) -> Uuid {
        let moment = self.next_moment();
        let project = Project {
            id: identifier("project", self.next_number()),
            name: name.to_owned(),
            description: String::new(),
            purpose: "Service or API".to_owned(),
            environment: "Production".to_owned(),
            is_default: false,
            created_at: moment,
            updated_at: moment,
            members: Vec::new(),
        };
        self.insert_project(project)
    }

    /// Adds a project as described, with its members, and returns its id.
    pub fn insert_project(&mut self, project: Project) -> Uuid {
        let id = project.id;
        for member in &project.members {
            self.projects_by_urn.insert(member.urn.clone(), id);
        }
        self.projects.push(project);
        id
    }

    /// Changes a project's own fields in place. Does nothing if the id is unknown.
    pub fn change_project(&mut self, id: Uuid, change: impl FnOnce(&mut Project)) {
        let moment = self.next_moment();
        if let Some(project) = self.projects.iter_mut().find(|project| project.id == id) {
            change(project);
            project.updated_at = moment;
        }
    }

    /// Renames a project.
    pub fn rename_project(&mut self, id: Uuid, name: &str) {
        self.change_project(id, |project| name.clone_into(&mut project.name));
    }

    /// Deletes a project, unless it is the default one. Its members move to the default project.
    pub fn remove_project(&mut self, id: Uuid) {
        let default = self.default_project();
        let position = self.projects.iter().position(|project| project.id == id);
        if let Some(position) = position.filter(|_| id != default) {
            for member in self.projects.remove(position).members {
                self.insert_member(default, member);
            }
            self.reset_project_id(id);
        }
    }

    /// Moves a resource of any kind into a project by its URN, and sets `project_id` in its body.
    /// The reserved IPs of a droplet move with it.
    pub fn assign(&mut self, project: Uuid, urn: &str) {
        if self.project(project).is_none() || self.project_of(urn) == Some(project) {
            return;
        }
        self.add_member(project, urn, MemberStatus::Ok);
        let followers: Vec<String> = self
            .reserved_ips
            .iter()
            .filter(|ip| {
                ip.droplet_id
                    .is_some_and(|id| urn == format!("do:droplet:{id}"))
            })
            .map(ReservedIp::urn)
            .collect();
        for follower in followers {
            self.assign(project, &follower);
        }
    }

    /// Adds a member to a project: also of unknown kinds, of kinds without a listing, and dangling
    /// ones. Replaces the member with this URN in any project.
    pub fn add_member(&mut self, project: Uuid, urn: &str, status: MemberStatus) {
        self.remove_member(urn);
        let assigned_at = self.next_moment();
        self.insert_member(
            project,
            Member {
                urn: urn.to_owned(),
                assigned_at,
                status,
            },
        );
    }

    /// Removes a resource from its project. The resource itself remains.
    pub fn remove_member(&mut self, urn: &str) {
        if let Some(id) = self.projects_by_urn.remove(urn)
            && let Some(project) = self.projects.iter_mut().find(|project| project.id == id)
        {
            project.members.retain(|member| member.urn != urn);
        }
    }

    /// Adds a new resource to the project of new resources.
    pub(crate) fn assign_new(&mut self, urn: &str) {
        self.add_member(self.project_of_new(), urn, MemberStatus::Ok);
    }

    /// The project of new resources: the default one, except within [`Account::create_in`].
    pub(crate) fn project_of_new(&self) -> Uuid {
        self.project_override
            .unwrap_or_else(|| self.default_project())
    }

    fn insert_member(&mut self, id: Uuid, member: Member) {
        if let Some(project) = self.projects.iter_mut().find(|project| project.id == id) {
            self.projects_by_urn.insert(member.urn.clone(), id);
            let urn = member.urn.clone();
            project.members.push(member);
            self.update_project_id(&urn, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_in_one_project_at_a_time() {
        let mut account = Account::empty();
        let other = account.add_project("other");
        let urn = format!("do:droplet:{}", account.add_droplet("web", "c-2", "syd1"));
        assert_eq!(account.project_of(&urn), Some(account.default_project()));
        account.assign(other, &urn);
        assert_eq!(account.project_of(&urn), Some(other));
        let members = |account: &Account, id| account.project(id).unwrap().members.len();
        assert_eq!(members(&account, account.default_project()), 0);
        assert_eq!(members(&account, other), 1);
        account.remove_project(other);
        assert_eq!(account.project_of(&urn), Some(account.default_project()));
        assert_eq!(members(&account, account.default_project()), 1);
    }

    #[test]
    fn a_destroyed_droplet_leaves_its_project_and_its_address() {
        let mut account = Account::empty();
        let id = account.add_droplet("web", "c-2", "syd1");
        account.add_reserved_ip("198.18.0.7", "syd1", Some(id));
        account.remove_droplet(id);
        assert_eq!(account.project_of(&format!("do:droplet:{id}")), None);
        assert_eq!(account.reserved_ips()[0].droplet_id, None);
    }

    #[test]
    fn a_droplet_takes_its_reserved_ips_to_another_project() {
        let mut account = Account::empty();
        let other = account.add_project("other");
        let id = account.add_droplet("web", "c-2", "syd1");
        account.add_reserved_ip("198.18.0.7", "syd1", Some(id));
        account.assign(other, &format!("do:droplet:{id}"));
        assert_eq!(account.project_of("do:floatingip:198.18.0.7"), Some(other));
    }
}
