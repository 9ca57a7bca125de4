# Rules in Rego to begin with: change them, test them with `sealift-installer policy test FOLDER`, and make them hold
# with `policy set FOLDER`. What they are told is printed by `policy input BUNDLE` and described by `policy schema`.
package sealift.site

critical if input.release.severity == "critical"

# Nobody wants to repair something on a Saturday. The time is that of the zone of the maintenance windows.
deny contains msg if {
	input.time.weekday == "friday"
	input.time.hour >= 15
	not critical
	msg := "nothing is installed on Fridays after 15:00, but for critical corrections"
}

# What may break is looked at by two people.
deny contains msg if {
	input.release.type == "major"
	there := count(input.approvals["approved-by"])
	there < 2
	msg := sprintf("a major release takes two approvals, there are %d", [there])
}

# Where data cannot go back, somebody should know before.
warn contains msg if {
	some obstacle in input.plan["no-way-back"]
	msg := sprintf("there will be no way back: %s", [obstacle])
}

# Software that asks for its sources to be given away, such as under GPL-3.0-only or AGPL-3.0-or-later.
warn contains msg if {
	some capability in input.release.capabilities
	contains(capability.license, "GPL")
	msg := sprintf("%s %s is under %s", [capability.name, capability.version, capability.license])
}
