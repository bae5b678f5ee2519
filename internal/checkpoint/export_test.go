package checkpoint

import "errors"

// PlaceWithoutLinks is place on a file system that has no links.
func PlaceWithoutLinks(from, to string) error {
	return place(from, to, func(string, string) error { return errors.ErrUnsupported })
}
