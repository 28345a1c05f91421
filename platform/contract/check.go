package contract

// Check judges a folder.
func (f *Folder) Check() error { return nil }
