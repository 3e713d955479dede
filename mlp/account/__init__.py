"""One-time setup of an AWS account, before any stack: logins for GitHub's workflows, cost alerts, a DNS zone."""
