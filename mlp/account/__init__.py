"""What an AWS account needs once, before any stack: logins for GitHub's workflows, watched costs, a DNS zone."""
