package exports

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// The files of an export, by what they hold.
const (
	members = iota
	added
	removed
	fileCount
)

var fileNames = [fileCount]string{"members", "added", "removed"}

// Files of exports may be read by the group, to which the console may belong.
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// partial is what the names of files that are not complete end with.
const partial = ".part"

// files are those of one export while they are written. They get their names when all of them are complete and on the disk, so
// that whoever sees one sees all of it.
type files struct {
	root   *os.Root
	folder string
	names  [fileCount]string
	open   [fileCount]*os.File
	out    [fileCount]*bufio.Writer
}

// createFiles begins the files anew; what an earlier attempt has left is overwritten.
func createFiles(root *os.Root, folder, extension string) (*files, error) {
	if err := root.MkdirAll(folder, folderMode); err != nil {
		return nil, fmt.Errorf("make folder for export: %w", err)
	}
	f := &files{root: root, folder: folder}
	for i, name := range fileNames {
		f.names[i] = path.Join(folder, name+"."+extension)
		var err error
		if f.open[i], err = root.OpenFile(f.names[i]+partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode); err != nil {
			return nil, errors.Join(fmt.Errorf("begin file of export: %w", err), f.discard())
		}
		f.out[i] = bufio.NewWriterSize(f.open[i], 1<<16)
	}
	return f, nil
}

// publish gives the complete files their names and returns their size in bytes.
func (f *files) publish() (size uint64, err error) {
	for i := range f.open {
		n, err := f.finish(i)
		if err != nil {
			return 0, errors.Join(fmt.Errorf("write %s: %w", f.names[i], err), f.discard())
		}
		size += n
	}
	for _, name := range f.names {
		if err := f.root.Rename(name+partial, name); err != nil {
			return 0, errors.Join(fmt.Errorf("name file of export: %w", err), f.discard())
		}
	}
	return size, f.syncFolder()
}

// finish brings one file to the disk.
func (f *files) finish(i int) (size uint64, err error) {
	file := f.open[i]
	if err := errors.Join(f.out[i].Flush(), file.Sync()); err != nil {
		return 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	f.open[i] = nil
	return uint64(max(info.Size(), 0)), file.Close()
}

// syncFolder brings the names to the disk.
func (f *files) syncFolder() error {
	folder, err := f.root.Open(f.folder)
	if err != nil {
		return fmt.Errorf("sync folder of export: %w", err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// discard removes what is not complete.
func (f *files) discard() error {
	var errs []error
	for i, file := range f.open {
		if file != nil {
			errs = append(errs, file.Close())
			f.open[i] = nil
		}
		if f.names[i] == "" {
			continue
		}
		if err := f.root.Remove(f.names[i] + partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
