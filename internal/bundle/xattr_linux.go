package bundle

// isSystemXAttr names the labels that the kernel's security modules set on new
// files by themselves. security.capability is not among them.
func isSystemXAttr(name string) bool {
	return name == "security.selinux" || name == "security.ima" || name == "security.evm"
}
