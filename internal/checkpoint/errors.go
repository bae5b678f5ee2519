package checkpoint

// Error says why a checkpoint or a key cannot be used. It says nothing about
// any ledger.
type Error struct{ message, hint string }

// Error gives the message.
func (e *Error) Error() string { return e.message }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// What can be wrong with a checkpoint.
var (
	ErrNotCheckpoint = &Error{
		"the file is not a checkpoint",
		`name a file that "saldo checkpoint" wrote`,
	}
	ErrVersion = &Error{
		"the checkpoint has a format that this version of Saldo does not know",
		"run the version of Saldo that wrote it, or a later one",
	}
	ErrTruncated = &Error{
		"the file ends before its signature",
		"it was cut off or is not copied whole: copy it again from where you keep checkpoints",
	}
	ErrChanged = &Error{
		"the file is not as it was signed",
		"somebody changed it, or the copy went wrong: copy it again from where you keep checkpoints, and find out which",
	}
	ErrSignature = &Error{
		"the signature does not fit",
		"somebody changed the file and could not sign it again: copy it again from where you keep checkpoints, and find out who",
	}
	ErrOtherKey = &Error{
		"the checkpoint was signed with another key",
		"name the public key that belongs to it; if you know of no other key, trust neither the file nor who made it",
	}
	ErrNotSeekable = &Error{
		"the checkpoint must be a file, because it is read twice",
		"copy it into a file first",
	}
)

// What can be wrong with keys and files.
var (
	ErrPrivateKey = &Error{
		"not a private key of Ed25519 in PEM (PKCS #8)",
		"make one with: saldo checkpoint --new-key KEY.pem, or: openssl genpkey -algorithm ed25519 -out KEY.pem",
	}
	ErrEncryptedKey = &Error{
		"the private key is encrypted",
		"let openssl decrypt it on the way: openssl pkey -in KEY.pem | saldo checkpoint --key - ...",
	}
	ErrPublicKey = &Error{
		"not a public key of Ed25519 in PEM",
		"it stands next to the private key as KEY.pub.pem, or comes from: openssl pkey -in KEY.pem -pubout",
	}
	ErrPrivateForPublic = &Error{
		"this is a private key, and a public one is needed",
		"name KEY.pub.pem, and keep the private key away from where checkpoints are compared",
	}
	ErrExists = &Error{
		"a file is already there",
		"choose another name: checkpoints and keys are never written over",
	}
	ErrUnsound = &Error{
		"the ledger has a wallet that no ledger can have",
		"find out what is wrong with it: saldo verify --db PATH",
	}
)
